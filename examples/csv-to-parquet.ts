/**
 * Converts CSV to Parquet, with types.
 *
 *     npm install hyparquet hyparquet-writer
 *     millrace run examples/csv-to-parquet.ts
 */
import { files, flow } from 'millrace';

export default flow('csv-to-parquet', (f) => {
  f.read(
    files.csv(f.param('input', 'examples/data/profiles.csv'), {
      columns: { user: 'string', born: 'number', country: 'string' },
    }),
  ).write(files.parquet(f.param('output', 'out/profiles.parquet')));
});
