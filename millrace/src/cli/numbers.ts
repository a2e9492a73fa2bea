/** Numbers as people write them on a command line, and as they like to read them. */
import { MillraceError } from '../core/errors.ts';

/** @throws {MillraceError} ML_USAGE */
export function wholeNumber(option: string, text: string, min = 0): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
  if (value < min) {
    const from = min === 0 ? '' : ` from ${min}`;
    throw new MillraceError('ML_USAGE', `${option} takes a whole number${from}, not '${text}'`);
  }
  return value;
}

/** `1 record`, `2,000 records`. */
export function formatCount(count: number, unit: string): string {
  return `${count.toLocaleString('en-US')} ${unit}${count === 1 ? '' : 's'}`;
}

/** `1.5 MB`: decimal units, as disks and networks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
