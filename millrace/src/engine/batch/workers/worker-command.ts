/** How a worker process is started: which program, with how much memory. */
import { fileURLToPath } from 'node:url';
import { workerUrl } from './entry-points.ts';

const MEBIBYTE = 1024 * 1024;
/** The young generation has up to three semi-spaces: more than a worker should spend on garbage when its budget is small. */
const SEMI_SPACE_MIBS_MAX = 16;
/** Below this V8 is busy with nothing but collecting. */
const OLD_SPACE_MIBS_MIN = 96;

/**
 * @param node path of the Node to run
 * @param budgetBytes what this worker may hold
 */
export function workerCommand(node: string, budgetBytes: number): readonly [string, ...string[]] {
  const budget = Math.floor(budgetBytes / MEBIBYTE);
  const semiSpace = Math.min(Math.max(Math.floor(budget / 16), 1), SEMI_SPACE_MIBS_MAX);
  const oldSpace = Math.max(budget, OLD_SPACE_MIBS_MIN);
  return [
    node,
    `--max-semi-space-size=${semiSpace}`,
    `--max-old-space-size=${oldSpace}`,
    fileURLToPath(workerUrl()),
  ];
}

/**
 * Buffers that are freed go back to the system instead of being kept by the allocator: 20 MB a worker, measured. glibc
 * would raise the second one by itself, up to 32 MiB. Source: mallopt(3).
 */
const ALLOCATOR = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '1048576' };

/** The environment of a worker: that of the driver, which counts where it says something else. */
export function workerEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return { ...ALLOCATOR, ...environment };
}
