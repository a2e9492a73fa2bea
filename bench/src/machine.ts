/** What the figures were measured on. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  /** Block devices of the machine, with the kernel's opinion on each. */
  readonly disks: readonly string[];
  readonly dataFreeBytes: number;
  readonly node: string;
  /** Of this repository; `-dirty` when there are changes. */
  readonly commit: string;
  /** Of the last minute, when the benchmark began: above 0.5 somebody else is using the machine. */
  readonly loadAverage: number;
}

/** @param dataFolder where the brokers will keep their data */
export function describeMachine(dataFolder: string): Machine {
  const space = statfsSync(dataFolder);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    disks: disks(),
    dataFreeBytes: space.bavail * space.bsize,
    node: process.version,
    commit: commit(),
    loadAverage: Number(readText('/proc/loadavg').split(' ')[0] ?? Number.NaN),
  };
}

function disks(): string[] {
  try {
    return readdirSync('/sys/block')
      .filter((name) => !/^(?:loop|ram|zram|dm-|sr)/.test(name))
      .map((name) => {
        const kind = readText(`/sys/block/${name}/queue/rotational`) === '1' ? 'disk' : 'flash';
        const cache = readText(`/sys/block/${name}/queue/write_cache`);
        return `${name} (reported as ${kind}, ${cache})`;
      });
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function commit(): string {
  try {
    const folder = fileURLToPath(new URL('.', import.meta.url));
    return execFileSync('git', ['-C', folder, 'describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
