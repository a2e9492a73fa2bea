/** What `millrace run` and `millrace plan` were asked. Pure. */
import { MillraceError } from '../core/errors.ts';
import { JOB_MEMORY_BYTES_MIN, PARTITIONS_MAX, WORKERS_MAX } from '../core/limits.ts';
import { parseBytes, wholeNumber } from './numbers.ts';

/** What commander made of the command line. */
export interface RunFlags {
  readonly workers?: string;
  readonly memory?: string;
  readonly overwrite?: boolean;
  readonly set?: readonly string[];
  readonly partitions?: string;
  readonly splitSize?: string;
  readonly data?: string;
  readonly brokers?: string;
  readonly flow?: string;
  readonly until?: string;
  readonly from?: string;
  readonly commitInterval?: string;
  readonly state?: string;
  readonly kafka?: string;
  readonly http?: string;
  readonly insecure?: boolean;
  readonly watch?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** Hidden: the parent process wants to know which modules were loaded. */
  readonly watched?: boolean;
}

export interface RunLimits {
  readonly workers: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly partitions: number | undefined;
  readonly splitBytes: number | undefined;
}

const SPLIT_BYTES_MIN = 1;

/** @throws {MillraceError} ML_USAGE */
export function parseLimits(flags: RunFlags): RunLimits {
  return {
    workers: within('--workers', flags.workers, 0, WORKERS_MAX),
    memoryBytes: bytes('--memory', flags.memory, JOB_MEMORY_BYTES_MIN),
    partitions: within('--partitions', flags.partitions, 1, PARTITIONS_MAX),
    splitBytes: bytes('--split-size', flags.splitSize, SPLIT_BYTES_MIN),
  };
}

/** `--set name=value`: the last one of a name counts. @throws {MillraceError} ML_USAGE */
export function parseParameters(assignments: readonly string[]): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const text of assignments) {
    const at = text.indexOf('=');
    if (at <= 0) throw new MillraceError('ML_USAGE', `--set takes name=value, not '${text}'`);
    settings[text.slice(0, at)] = text.slice(at + 1);
  }
  return settings;
}

/** @throws {MillraceError} ML_USAGE */
export function within(
  option: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = wholeNumber(option, text, min);
  if (value > max) throw new MillraceError('ML_USAGE', `${option} takes at most ${max}`);
  return value;
}

function bytes(option: string, text: string | undefined, min: number): number | undefined {
  return text === undefined ? undefined : parseBytes(option, text, min);
}
