/** One accumulator made of those of several panes that live on: `merge` may change, and keep, what it is given. */
import type { Store } from '../../state/store.ts';
import { copyData } from '../copy-data.ts';
import type { WindowState } from './window-state.ts';

export type Merge = (left: unknown, right: unknown) => unknown;

/**
 * The panes of `key` from `from` to `to`, merged in the order of time. Throws what the program throws.
 * @returns undefined: there are none
 */
export function mergePanes(
  store: Store<WindowState>,
  merge: Merge,
  key: unknown,
  from: number,
  to: number,
): WindowState | undefined {
  let merged: WindowState | undefined;
  store.scan(key, from, to, (_pane, [part, time]) => {
    if (merged === undefined) merged = [copyData(part), time];
    else {
      merged[0] = merge(merged[0], copyData(part));
      if (time > merged[1]) merged[1] = time;
    }
  });
  return merged;
}
