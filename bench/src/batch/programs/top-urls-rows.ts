/** The five most requested paths, with a function on each row: only the field that it reads is decoded. */
import { files, flow } from 'millrace';

export const topUrls = flow('top-urls', (f) => {
  f.read(files.delimited(f.param('input', ''), { separator: ' ', fields: { path: 6 } }))
    .keyBy((hit) => hit.path)
    .count('hits')
    .top(5)
    .write(files.ndjson(f.param('output', '-')));
});
