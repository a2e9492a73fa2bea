/** The five most requested paths, with a plain function on each line. */
import { files, flow } from 'millrace';

export const topUrls = flow('top-urls', (f) => {
  f.read(files.lines(f.param('input', '')))
    .map((line) => line.split(' ', 7)[6] ?? '')
    .keyBy((path) => path)
    .count('hits')
    .top(5)
    .write(files.ndjson(f.param('output', '-')));
});
