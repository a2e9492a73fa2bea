/** Runs kcat, Debian's Kafka command line client over librdkafka 2.0.2. */
import { spawn, spawnSync } from 'node:child_process';

export const KCAT_INSTALLED = spawnSync('kcat', ['-V']).status === 0;

export interface KcatResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs kcat to its end. `input` goes to its stdin. */
export function kcat(
  address: string,
  args: readonly string[],
  input?: string,
): Promise<KcatResult> {
  const child = spawn('kcat', ['-b', address, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {}); // It may end before it has read everything.
  child.stdin.end(input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** As `kcat`, and fails with what kcat said when it did not succeed. */
export async function kcatOk(
  address: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const result = await kcat(address, args, input);
  if (result.code !== 0)
    throw new Error(`kcat ${args.join(' ')} ended with ${result.code}: ${result.stderr}`);
  return result.stdout;
}
