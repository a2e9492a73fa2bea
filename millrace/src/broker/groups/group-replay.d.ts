import type { Logger } from '../../core/log.ts';
import type { InternalLog } from '../internal-log.ts';
import type { GroupTable } from './group-table.ts';
import type { OffsetStore } from './offset-store.ts';
interface Replay {
  readonly table: GroupTable;
  readonly store: OffsetStore;
  readonly logger: Logger;
  /** The last value of each group's record; null for a tombstone. */
  readonly groups: Map<string, Buffer | null>;
  /** Records of key versions that we do not write: how many of each. */
  readonly unknown: Map<number, number>;
}
export declare function replayGroups(
  log: InternalLog,
  into: Pick<Replay, 'table' | 'store' | 'logger'>,
): Promise<void>;
export {};
