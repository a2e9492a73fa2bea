const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** For people: `1.2 MB`, `10 MB`, `640 bytes`. Powers of 1,024, two digits at least. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0);
  return `${text.endsWith('.0') ? text.slice(0, -2) : text} ${UNITS[unit] ?? ''}`;
}
