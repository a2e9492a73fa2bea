/** The standard input of the process, read piece by piece with back-pressure: nothing is read ahead. */
import * as nodeFs from 'node:fs';
import { errnoName, systemError } from './system-error.ts';

export interface InputStream {
  /** Waits for bytes and puts them at the beginning of `buffer`. Resolves to their number; 0 at the end. */
  read(buffer: Buffer): Promise<number>;
}

const STDIN = 0;
/** Pause before an input that is non-blocking, and empty, is looked at again. */
const POLL_MS = 5;

/** `process.stdin` is not touched: that would make a shared pipe non-blocking for everybody who has it. */
export const standardInput: InputStream = {
  async read(buffer) {
    for (;;) {
      const count = await readOnce(buffer);
      if (count !== undefined) return count;
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS);
      });
    }
  },
};

/** undefined: nothing there yet. */
function readOnce(buffer: Buffer): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    nodeFs.read(STDIN, buffer, 0, buffer.length, null, (error, count) => {
      if (error === null) resolve(count);
      else if (errnoName(error) === 'EAGAIN') resolve(undefined);
      // Windows says so at the end of a pipe.
      else if (errnoName(error) === 'EOF') resolve(0);
      else reject(systemError(error, 'read stdin'));
    });
  });
}
