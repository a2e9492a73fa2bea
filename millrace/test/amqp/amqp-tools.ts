/** Runs Debian's AMQP command line tools, over librabbitmq. */
import { spawn, spawnSync } from 'node:child_process';

export const AMQP_TOOLS_INSTALLED = spawnSync('amqp-publish', ['--help']).status === 0;

export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a tool to its end; `input` goes to its standard input. */
export function amqpTool(
  url: string,
  [tool, ...args]: readonly [string, ...string[]],
  input = '',
): Promise<ToolResult> {
  const child = spawn(tool, ['--url', url, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {}); // It may end before it has read everything.
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
