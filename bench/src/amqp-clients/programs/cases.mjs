/** Cases of a program that uses a client of AMQP: each says `pass <name>`, or `fail <name>: <why>`. */
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';

export const HOST = process.env.AMQP_HOST;
export const PORT = Number(process.env.AMQP_PORT);
export const AUTHORITY = `${HOST}:${PORT}`;
export const URL = `amqp://guest:guest@${AUTHORITY}`;

const TIMEOUT_MS = 30_000;

export const unique = (prefix) => `${prefix}-${randomUUID()}`;
export const sorted = (texts) => texts.toSorted((a, b) => (a < b ? -1 : Number(a > b)));

/** The broker is killed and started again with what it had. */
export async function restartBroker() {
  process.stdout.write('restart the broker\n');
  const lines = createInterface({ input: process.stdin });
  await new Promise((resolve) => lines.once('line', resolve));
  lines.close();
}

export function within(promise, what) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), TIMEOUT_MS);
  });
  return Promise.race([promise, tooLate]).finally(() => clearTimeout(timer));
}

/** What has come so far, and whoever waits for more of it. */
export class Heard {
  all = [];
  #waiting = [];

  push = (one) => {
    this.all.push(one);
    this.#waiting = this.#waiting.filter(({ holds, resolve }) => !holds() || resolve());
  };

  /** Resolves with the first `count`, once they are there. */
  async first(count, what = `${count} of them`) {
    const holds = () => this.all.length >= count;
    if (!holds()) {
      const come = new Promise((resolve) => this.#waiting.push({ holds, resolve }));
      await within(come, `${what}: ${JSON.stringify(this.all)}`);
    }
    return this.all.slice(0, count);
  }
}

/** Asks again until it is so. */
export async function until(holds, what) {
  for (const deadline = Date.now() + TIMEOUT_MS; !(await holds()); ) {
    if (Date.now() > deadline) throw new Error(`too late: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function run(cases) {
  let failed = 0;
  for (const [name, one] of Object.entries(cases)) {
    try {
      await within(one(), 'the case');
      process.stdout.write(`pass ${name}\n`);
    } catch (error) {
      failed++;
      console.error(error);
      process.stdout.write(`fail ${name}: ${String(error).replaceAll('\n', ' ')}\n`);
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}
