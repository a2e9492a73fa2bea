/** How often each word occurs, on bytes. */
import { count, files, flow, words } from 'millrace';

export const wordCount = flow('word-count', (f) => {
  f.read(files.lines(f.param('input', '')))
    .rows()
    .explode('word', words('line'))
    .groupBy('word')
    .agg({ uses: count() })
    .write(files.tsv(f.param('output', '')));
});
