/** Programs and inputs for the tests of jobs, written into a directory. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Reads, counts by key, sorts the counts, writes a directory and a file: three stages that exchange records. */
export const WORDS = `
import { files, flow } from 'millrace';

export default flow('words', (f) => {
  const lines = f.counter('lines');
  const words = f
    .read(files.lines('input/*.txt'))
    .tap(() => lines.add())
    .flatMap((line) => line.split(' '));
  const counts = words.keyBy((word) => word).count('count');
  // These show the order of the stream: by parts that are put together, and by what comes last for each key.
  words.write(files.lines('out/words.txt'));
  words
    .keyBy((word) => word.slice(0, 2))
    .aggregate('tail', { init: () => '', add: (tail, word) => (tail + word).slice(-60) })
    .write(files.ndjson('out/tail.ndjson'));
  counts.entries().sort('by-count', (entry) => [entry.value, entry.key]).write(files.ndjson('out/sorted'));
  counts.top(5).write(files.ndjson('out/top.ndjson'));
});
`;

/** Several files of words, some of them far more frequent than others. */
export async function writeWords(directory: string): Promise<void> {
  await mkdir(join(directory, 'input'), { recursive: true });
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed / 2 ** 32;
  };
  for (let file = 0; file < 4; file++) {
    const lines = Array.from({ length: 2_000 }, () =>
      Array.from({ length: 8 }, () => `w${Math.floor(random() ** 3 * 3_000)}`).join(' '),
    );
    await writeFile(join(directory, 'input', `${file}.txt`), `${lines.join('\n')}\n`);
  }
}
