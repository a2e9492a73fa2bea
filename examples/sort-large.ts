/**
 * Sorts more lines than fit into memory. `rows()` looks at the lines as rows of one column, so that they are sorted as bytes.
 *
 *     millrace run examples/sort-large.ts --memory 64MB --set input=large.txt
 */
import { files, flow } from 'millrace';

export default flow('sort-large', (f) => {
  f.read(files.lines(f.param('input', 'examples/data/rhyme.txt')))
    .rows()
    .sortBy('line')
    .write(files.lines(f.param('output', 'out/sorted.txt')));
});
