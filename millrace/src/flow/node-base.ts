/** What all nodes of a plan have in common. */

/** Functions of the user. A record is a value and its key; the key of a stream without keys is undefined. */
export type ValueFunction = (value: unknown, key: unknown) => unknown;

export interface NodeBase {
  readonly id: number;
  /** Explicit for stateful operators, unique in the plan; else made up: `map-3`. */
  readonly name: string;
  /** Ids of the nodes whose records it takes. */
  readonly inputs: readonly number[];
  /** It gives the changes of a table (`stream-nodes.ts`), not records that each stand for themselves. Absent: no. */
  readonly isTable?: boolean;
}
