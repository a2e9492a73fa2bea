/** Lines out of what a process writes to its two streams, in pieces of any size. Long ones are cut. */
import { StringDecoder } from 'node:string_decoder';
import { WORKER_LAST_LINES, WORKER_LINE_BYTES_MAX } from '../../../core/limits.ts';

type StreamName = 'stdout' | 'stderr';

export class OutputLines {
  /** The last lines, for who wants to know why the process ended. */
  readonly last: string[] = [];
  readonly #onLine: (line: string) => void;
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  readonly #rests: Record<StreamName, string> = { stdout: '', stderr: '' };

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(stream: StreamName, chunk: Buffer): void {
    const lines = (this.#rests[stream] + this.#decoders[stream].write(chunk)).split('\n');
    const rest = lines.pop() ?? '';
    for (const line of lines) this.#emit(line);
    // What is beyond the limit is cut anyway: it need not be kept until its end comes.
    this.#rests[stream] = rest.slice(0, WORKER_LINE_BYTES_MAX + 1);
  }

  /** The streams have ended: what is left are lines, too. */
  end(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#rests[stream] + this.#decoders[stream].end();
      this.#rests[stream] = '';
      if (rest !== '') this.#emit(rest);
    }
  }

  #emit(text: string): void {
    const plain = text.endsWith('\r') ? text.slice(0, -1) : text;
    const isLong = plain.length > WORKER_LINE_BYTES_MAX;
    const line = isLong ? `${plain.slice(0, WORKER_LINE_BYTES_MAX)}…` : plain;
    this.last.push(line);
    if (this.last.length > WORKER_LAST_LINES) this.last.shift();
    this.#onLine(line);
  }
}
