/** Windows that a record alone decides about are keys like others: their aggregates need not wait for a sort. */
import type { Windowed } from '../../core/key-order.ts';
import type { WindowAggregateNode } from '../../flow/stream-nodes.ts';
import type { WindowSpec } from '../../flow/windows.ts';
import type { PlanWriter } from './plan-writer.ts';
import { replayed } from './replayed.ts';
import { type Timed, timed } from './timed.ts';

interface Accumulator {
  a: unknown;
  t: number;
}

/** Writes what takes the place of a windowed aggregate. */
export function windowed(writer: PlanWriter, node: WindowAggregateNode): void {
  const { window, merge, finish } = node;
  if (merge === undefined || (window.kind !== 'tumbling' && window.kind !== 'hopping')) {
    replayed(writer, node);
    return;
  }
  const [input = -1] = writer.inputsOf(node);
  const placed = writer.add(
    `${node.name}-windows`,
    {
      kind: 'flatMap',
      fn: (record, key) => inWindows(window, record as Timed, key),
      keepsKey: false,
    },
    [input],
  );
  const keyed = writer.add(
    `${node.name}-key`,
    { kind: 'keyBy', fn: (placedRecord) => (placedRecord as InWindow).w },
    [placed],
  );
  writer.become(
    node,
    writer.add(
      node.name,
      {
        kind: 'aggregate',
        isKeyed: true,
        builtin: undefined,
        init: (): Accumulator => ({ a: node.init(), t: Number.NEGATIVE_INFINITY }),
        add: (accumulator, record) => {
          const into = accumulator as Accumulator;
          const { t, v, w } = record as InWindow;
          into.a = node.add(into.a, v, w.key);
          if (t > into.t) into.t = t;
          return into;
        },
        merge: (left, right) => {
          const [l, r] = [left as Accumulator, right as Accumulator];
          return { a: merge(l.a, r.a), t: Math.max(l.t, r.t) };
        },
        finish: (accumulator, key) => {
          const { a, t } = accumulator as Accumulator;
          const value = finish === undefined ? a : finish(a, (key as Windowed<unknown>).key);
          return timed(t, t, value, undefined);
        },
      },
      [keyed],
    ),
  );
}

interface InWindow {
  readonly t: number;
  readonly v: unknown;
  readonly w: Windowed<unknown>;
}

function inWindows(
  window: WindowSpec & { readonly kind: 'tumbling' | 'hopping' },
  { t, v }: Timed,
  key: unknown,
): InWindow[] {
  const { sizeMs } = window;
  const everyMs = window.kind === 'tumbling' ? sizeMs : window.everyMs;
  const found: InWindow[] = [];
  // A key that joins nothing is in no window either.
  if (key === undefined || key === null) return found;
  for (let start = Math.floor(t / everyMs) * everyMs; start > t - sizeMs; start -= everyMs)
    if (start >= 0) found.push({ t, v, w: { key, start, end: start + sizeMs } });
  return found.toReversed();
}
