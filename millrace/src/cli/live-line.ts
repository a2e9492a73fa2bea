/** One line of a terminal that is rewritten, and lines above it for what else there is to say. */
import { cutText } from './run-progress.ts';

export interface LiveLineOptions {
  readonly write: (text: string) => void;
  /** Cells of a line, as it is now. */
  readonly columns: () => number;
}

export class LiveLine {
  readonly #options: LiveLineOptions;
  #shown = '';

  constructor(options: LiveLineOptions) {
    this.#options = options;
  }

  show(line: string): void {
    const cut = cutText(line, this.#options.columns() - 1);
    if (cut === this.#shown) return;
    this.#options.write(`\r\x1b[K${cut}`);
    this.#shown = cut;
  }

  say(line: string): void {
    this.erase();
    this.#options.write(`${line}\n`);
  }

  erase(): void {
    if (this.#shown === '') return;
    this.#options.write('\r\x1b[K');
    this.#shown = '';
  }
}
