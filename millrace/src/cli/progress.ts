/** Progress of long commands: one line that rewrites itself on a terminal, a plain line now and then elsewhere. */
import type { Env, Timer } from '../core/env.ts';
import { say } from './io.ts';
import { formatBytes, formatCount } from './numbers.ts';

const TERMINAL_INTERVAL_MS = 500;
const PLAIN_INTERVAL_MS = 10_000;

export class Progress {
  readonly #env: Env;
  readonly #verb: string;
  readonly #startMs: number;
  readonly #terminal = process.stderr.isTTY;
  readonly #isTerminalBusy: boolean;
  #records = 0;
  #bytes = 0;
  #timer: Timer | undefined;
  #drawn = false;

  /**
   * @param verb what was done to the records: `produced`, `consumed`
   * @param isTerminalBusy a terminal shows something else meanwhile, what is read or what is typed: only the sum is said
   */
  constructor(env: Env, verb: string, isTerminalBusy: boolean) {
    this.#env = env;
    this.#verb = verb;
    this.#isTerminalBusy = isTerminalBusy;
    this.#startMs = env.clock.monotonicMs();
    this.#schedule();
  }

  get records(): number {
    return this.#records;
  }

  add(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
  }

  /** Stops, and says the sum when there is one to say. */
  finish(): void {
    this.#timer?.cancel();
    if (this.#drawn) process.stderr.write('\r\x1b[K');
    say(this.#line());
  }

  #schedule(): void {
    this.#timer = this.#env.timers.after(
      this.#terminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS,
      () => {
        if (this.#isTerminalBusy) return;
        if (this.#terminal) {
          process.stderr.write(`\r\x1b[K${this.#line()}`);
          this.#drawn = true;
        } else say(this.#line());
        this.#schedule();
      },
    );
  }

  #line(): string {
    const seconds = Math.max(0.001, (this.#env.clock.monotonicMs() - this.#startMs) / 1000);
    const rate = Math.round(this.#records / seconds).toLocaleString('en-US');
    const sum = `${this.#verb} ${formatCount(this.#records, 'record')}, ${formatBytes(this.#bytes)}`;
    // A rate says nothing over the blink of an eye, nor about how fast somebody types.
    if (seconds < 1 || this.#isTerminalBusy) return sum;
    return `${sum} in ${seconds.toFixed(1)} s (${rate} records/s, ${formatBytes(this.#bytes / seconds)}/s)`;
  }
}
