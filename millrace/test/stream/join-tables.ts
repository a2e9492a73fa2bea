/** Tables that joins ask, and nodes of joins, for tests. A table here is what it was told, without a store. */
import type { ReadableTable } from '../../src/engine/stream/operators/operator.ts';
import type {
  ForeignJoinNode,
  GlobalJoinNode,
  TableJoinNode,
  WindowJoinNode,
} from '../../src/flow/stream-nodes.ts';

type Join = (left: unknown, right: unknown, key: unknown) => unknown;

/** `left-right`, as the tables of Kafka's tests write pairs. */
export const pair: Join = (left, right) => `${textOf(left)}-${textOf(right)}`;

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null');
}

export class TestTable implements ReadableTable {
  private readonly rows = new Map<unknown, readonly [value: unknown, time: number]>();

  get(key: unknown): unknown {
    return this.rows.get(key)?.[0];
  }

  timeOf(key: unknown): number | undefined {
    return this.rows.get(key)?.[1];
  }

  /** @returns the value before */
  set(key: unknown, value: unknown, time: number): unknown {
    const old = this.get(key);
    if (value === undefined || value === null) this.rows.delete(key);
    else this.rows.set(key, [value, time]);
    return old;
  }
}

/** Keeps every version; of two with the same time the later one. */
export class VersionedTestTable implements ReadableTable {
  private readonly versions: {
    readonly key: unknown;
    readonly value: unknown;
    readonly time: number;
  }[] = [];

  set(key: unknown, value: unknown, time: number): void {
    this.versions.push({ key, value: value ?? undefined, time });
  }

  get(key: unknown): unknown {
    return this.asOf(key, Number.POSITIVE_INFINITY);
  }

  asOf(key: unknown, time: number): unknown {
    let found: { readonly value: unknown; readonly time: number } | undefined;
    for (const version of this.versions) {
      if (version.key !== key || version.time > time) continue;
      if (found === undefined || version.time >= found.time) found = version;
    }
    return found?.value;
  }
}

export function windowJoin(
  type: WindowJoinNode['type'],
  times: { readonly before: number; readonly after: number; readonly grace?: number },
  more: Partial<WindowJoinNode> = {},
): WindowJoinNode {
  return {
    kind: 'windowJoin',
    id: 2,
    name: 'pairs',
    inputs: [0, 1],
    type,
    beforeMs: times.before,
    afterMs: times.after,
    graceMs: times.grace ?? 0,
    fn: pair,
    ...more,
  };
}

export function tableJoin(
  sides: TableJoinNode['sides'],
  type: TableJoinNode['type'],
  fn: Join = pair,
): TableJoinNode {
  const isTable = sides === 'table-table';
  return { kind: 'tableJoin', id: 2, name: 'joined', inputs: [0, 1], isTable, sides, type, fn };
}

export function globalJoin(
  type: GlobalJoinNode['type'],
  lookupKey: GlobalJoinNode['lookupKey'],
  fn: Join = pair,
): GlobalJoinNode {
  return { kind: 'globalJoin', id: 2, name: 'joined', inputs: [0, 1], type, lookupKey, fn };
}

export function foreignJoin(
  type: ForeignJoinNode['type'],
  foreignKey: ForeignJoinNode['foreignKey'],
  fn: Join = pair,
): ForeignJoinNode {
  return {
    kind: 'foreignJoin',
    id: 2,
    name: 'joined',
    inputs: [0, 1],
    isTable: true,
    type,
    foreignKey,
    fn,
  };
}
