// Line icons on a 24-unit grid, drawn here so that nothing is loaded from elsewhere.

const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5.5 11.500a6.5 6.5 0 0 0 13 0M12 18v3',
  micOff: 'M4 4l16 16M9 9v3a3 3 0 0 0 5 2.200M15 12V6a3 3 0 0 0-5.8-1.100M5.5 11.500a6.5 6.5 0 0 0 10.6 5M18.5 11.500c0 .9-.2 1.7-.5 2.500M12 18v3',
  camera: 'M4.5 6.500h8.500a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2H4.500a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2zM15 10.500l5.2-3a.9.9 0 0 1 1.3.8v7.400a.9.9 0 0 1-1.3.8l-5.2-3',
  cameraOff: 'M3 3l18 18M9.5 6.500H13a2 2 0 0 1 2 2v3.500M15 15.500a2 2 0 0 1-2 2H4.500a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2H6M15 10.500l5.2-3a.9.9 0 0 1 1.3.8v7.400a.9.9 0 0 1-.9.9',
  screen: 'M4 4.500h16a1.5 1.5 0 0 1 1.5 1.500v9a1.5 1.5 0 0 1-1.5 1.500H4A1.5 1.5 0 0 1 2.5 15V6A1.5 1.5 0 0 1 4 4.500zM12 13.500V8M9.3 10.300L12 7.600l2.7 2.700M8.5 20h7',
  chat: 'M5 4.500h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-6.500L8 20.500v-4H5a2 2 0 0 1-2-2v-8a2 2 0 0 1 2-2zM7.5 9h9M7.5 12.500h6',
  people: 'M9 11.500a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.500c.5-3.5 3-5 6.5-5s6 1.5 6.5 5M15.5 5a3.3 3.3 0 0 1 0 6.300M18 15c2 .7 3.2 2.2 3.5 4.5',
  leave: 'M3.2 14.600c-.8-1.2-.7-3 .4-3.900C5.8 9 8.7 8 12 8s6.2 1 8.4 2.700c1.1.9 1.2 2.7.4 3.900l-.5.7a1.5 1.5 0 0 1-1.8.5l-2.6-1.100a1.5 1.5 0 0 1-.9-1.500l.1-1.400c-2-.6-4.2-.6-6.2 0l.1 1.400a1.5 1.5 0 0 1-.9 1.500l-2.6 1.100a1.5 1.5 0 0 1-1.8-.5z',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 9.500a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 19.500a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  grid: 'M4 4.500h6.500v6.500H4zM13.5 4.500H20v6.500h-6.500zM4 14h6.500v6H4zM13.5 14H20v6h-6.500z',
  speaker: 'M3 5h12.500v14H3zM18.5 5H21v3.500h-2.500zM18.5 10.300H21v3.500h-2.500zM18.5 15.500H21V19h-2.500z',
  link: 'M10 14a4 4 0 0 0 5.7 0l3.6-3.600a4 4 0 0 0-5.7-5.700L12.3 6M14 10a4 4 0 0 0-5.7 0l-3.6 3.600a4 4 0 0 0 5.7 5.700l1.3-1.3',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.500v2M12 19.500v2M2.5 12h2M19.5 12h2M5.3 5.300l1.4 1.400M17.3 17.300l1.4 1.400M5.3 18.700l1.4-1.400M17.3 6.700l1.4-1.4',
  moon: 'M20 14.500A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.500z',
  close: 'M5.5 5.500l13 13M18.5 5.500l-13 13',
  send: 'M4 12l16-8-5.5 16-3-6.500zM11.5 13.500L20 4',
  pin: 'M9 3.500h6l-.8 6 3.3 3.500h-11l3.3-3.500zM12 13v7.5',
  left: 'M14.5 5.500L8 12l6.5 6.5',
  right: 'M9.5 5.500L16 12l-6.5 6.5',
  sound: 'M4 9.500v5h3.500l5 4v-13l-5 4zM16 9a4.2 4.2 0 0 1 0 6M18.5 6.500a7.8 7.8 0 0 1 0 11',
  warning: 'M12 4L2.8 19.500h18.400zM12 10v4.500M12 17v.2',
  check: 'M5 12.500l4.5 4.500L19 7.5',
} as const;

export type IconName = keyof typeof PATHS;

const SVG = 'http://www.w3.org/2000/svg';

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** Three bars, `level` of them filled. */
export function bars(): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 12 12');
  svg.setAttribute('class', 'bars');
  svg.setAttribute('aria-hidden', 'true');
  for (let index = 0; index < 3; index += 1) {
    const bar = document.createElementNS(SVG, 'rect');
    const height = 4 + index * 4;
    bar.setAttribute('x', String(index * 4.5));
    bar.setAttribute('y', String(12 - height));
    bar.setAttribute('width', '3');
    bar.setAttribute('height', String(height));
    bar.setAttribute('rx', '1');
    svg.append(bar);
  }
  return svg;
}
