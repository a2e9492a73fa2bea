/** Sorts the lines of a file by their bytes. */
import { files, flow } from 'millrace';

export const sortLines = flow('sort-lines', (f) => {
  f.read(files.lines(f.param('input', '')))
    .rows()
    .sortBy('line')
    .write(files.lines(f.param('output', '')));
});
