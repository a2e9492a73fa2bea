/** The five most requested paths, said in columns: computed on bytes. */
import { count, files, flow } from 'millrace';

export const topUrls = flow('top-urls', (f) => {
  f.read(files.delimited(f.param('input', ''), { separator: ' ', fields: { path: 6 } }))
    .groupBy('path')
    .agg({ hits: count() })
    .top('top', 5, (row) => row.hits)
    .write(files.ndjson(f.param('output', '-')));
});
