/**
 * Makes records out of nothing, moves all of them to the task of their key and counts them there, sorted and without a combiner: what a
 * shuffle costs, and what it needs.
 */
import { files, flow, type Readable } from 'millrace';

interface Event {
  readonly id: string;
  readonly payload: string;
}

const RECORDS_PER_MEGABYTE = 8_192;
const PAYLOAD = 'x'.repeat(100);

/** A source of `megabytes` MiB of records with random keys. */
function generated(megabytes: number): Readable<Event, undefined> {
  return {
    source: () => ({
      kind: 'source',
      format: 'generated',
      label: `generated ${megabytes} MiB`,
      paths: [],
      columns: undefined,
      plan: (context) => {
        const each = Math.max(1, Math.round(context.splitBytes / 2 ** 20));
        const splits = Array.from({ length: Math.ceil(megabytes / each) }, (_, index) => ({
          index,
          bytes: Math.min(each, megabytes - index * each) * 2 ** 20,
          label: `${index}`,
          data: { from: index * each, to: Math.min(megabytes, (index + 1) * each) },
        }));
        return Promise.resolve({ splits, files: [] });
      },
      open: (split) => {
        const { from, to } = split.data as { readonly from: number; readonly to: number };
        let at = from * RECORDS_PER_MEGABYTE;
        const end = to * RECORDS_PER_MEGABYTE;
        return {
          read: (emit) => {
            for (let count = 0; count < 10_000 && at < end; count++) {
              const id = (Math.imul(at++, 0x9e3779b1) >>> 0).toString(36).padStart(8, '0');
              if (!emit({ id, payload: PAYLOAD }, undefined)) break;
            }
            return at >= end;
          },
          get consumedBytes() {
            return ((at - from * RECORDS_PER_MEGABYTE) / RECORDS_PER_MEGABYTE) * 2 ** 20;
          },
          position: () => `record ${at - 1}`,
          mark: () => at - 1,
          locate: (mark) => `record ${mark}`,
          close: () => {},
        };
      },
    }),
  };
}

export const shuffle = flow('shuffle', (f) => {
  f.read(generated(f.param('megabytes', 4096)))
    .groupBy((event) => event.id.slice(0, 3))
    .reduce(
      'events',
      (id, events, emit: (row: { id: string; events: number; bytes: number }) => void) => {
        let [count, bytes] = [0, 0];
        for (const event of events) {
          count++;
          bytes += event.payload.length + event.id.length;
        }
        emit({ id, events: count, bytes });
      },
    )
    .write(files.ndjson(f.param('output', '')));
});
