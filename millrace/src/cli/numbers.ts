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

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/**
 * `256MB` (decimal), `256MiB` or `256M` (binary), `1.5GB`, `1048576`.
 * @throws {MillraceError} ML_USAGE
 */
export function parseBytes(option: string, text: string, min = 0): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)$/i.exec(text);
  const unit = BYTE_UNITS[(match?.[2] ?? '?').toLowerCase()];
  if (match === null || unit === undefined) {
    throw new MillraceError('ML_USAGE', `${option} takes a size such as 256MB, not '${text}'`);
  }
  const value = Math.round(Number(match[1]) * unit);
  if (value < min || !Number.isSafeInteger(value)) {
    throw new MillraceError(
      'ML_USAGE',
      `${option} takes at least ${formatBytes(min)}, not ${text}`,
    );
  }
  return value;
}

/** `0.31 s`, `12.4 s`, `3 m 05 s`, `2 h 03 m`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} m`;
}
