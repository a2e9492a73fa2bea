/**
 * Runs a command as a user would and measures all of its processes: wall time, processor time and, sampled, the most resident
 * memory that they had together.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { BenchFailure } from '../failure.ts';
import { parseResidentBytes, track } from '../process.ts';

export interface Measured {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** The sum over all processes of the command; pages that they share count for each. */
  readonly residentBytesMax: number;
  readonly stdout: string;
}

const SAMPLE_MS = 50;
/** Printed behind the output: what bash's `time` says of the command and everything below it. */
const MARK = 'millrace-bench-times';

/**
 * @param command for bash, with pipes as it likes
 * @throws {BenchFailure} when it fails
 */
export async function measure(
  command: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Measured> {
  const script = `TIMEFORMAT='${MARK} %R %U %S'; time { ${command}\n}`;
  const child = track(
    spawn('bash', ['-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    }),
  );
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => void (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (output.stderr += chunk.toString()));
  let residentBytesMax = 0;
  const sampler = setInterval(() => {
    residentBytesMax = Math.max(residentBytesMax, residentBytesOf(child.pid ?? 0));
  }, SAMPLE_MS);
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve(exitCode ?? -1));
  });
  clearInterval(sampler);
  const times = new RegExp(`${MARK} (\\S+) (\\S+) (\\S+)`).exec(output.stderr);
  if (code !== 0 || times === null) {
    throw new BenchFailure(`exit code ${code} from: ${command}\n${output.stderr.slice(-2000)}`);
  }
  return {
    wallSeconds: Number(times[1]),
    cpuSeconds: Number(times[2]) + Number(times[3]),
    residentBytesMax,
    stdout: output.stdout,
  };
}

/** Resident bytes of a process and all below it. Looks at nothing else: on two cores the one who measures is felt. */
function residentBytesOf(pid: number): number {
  const children = readText(`/proc/${pid}/task/${pid}/children`).trim();
  const own = parseResidentBytes(readText(`/proc/${pid}/status`));
  if (children === '') return own;
  return children.split(' ').reduce((sum, child) => sum + residentBytesOf(Number(child)), own);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // The process has ended meanwhile.
  }
}
