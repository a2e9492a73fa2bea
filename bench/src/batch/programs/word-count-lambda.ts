/** How often each word occurs, with functions. */
import { files, flow } from 'millrace';

export const wordCount = flow('word-count', (f) => {
  f.read(files.lines(f.param('input', '')))
    .flatMap((line) => line.match(/[A-Za-z]+/g) ?? [])
    .keyBy((word) => word)
    .count('uses')
    .map((uses, word) => ({ word, uses }))
    .write(files.tsv(f.param('output', '')));
});
