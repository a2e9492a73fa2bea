/** Sorts the lines of a file with a function that gives the key. */
import { files, flow } from 'millrace';

export const sortLines = flow('sort-lines', (f) => {
  f.read(files.lines(f.param('input', '')))
    .sort('sorted', (line) => line)
    .write(files.lines(f.param('output', '')));
});
