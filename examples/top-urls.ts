/**
 * The five most requested paths of an access log: chapter 10 of Designing Data-Intensive Applications in a few lines.
 *
 *     millrace run examples/top-urls.ts
 *     millrace run examples/top-urls.ts --set log='/var/log/nginx/access.log*' --set output=-
 */
import { files, flow } from 'millrace';

export default flow('top-urls', (f) => {
  const log = f.param('log', 'examples/data/access.log');

  f.read(files.lines(log))
    .map((line) => line.split(' ', 7)[6] ?? '')
    .keyBy((path) => path)
    .count('hits')
    .top(5)
    .write(files.ndjson(f.param('output', 'out/top-urls.ndjson')));
});
