/** What all queues of a broker share. */
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { DeadLetters } from './queue.ts';
import type { QueueMemory } from './queue-memory.ts';
import type { QueueTurns } from './queue-turns.ts';
import type { QueueStates } from './state/queue-state.ts';

export interface QueueContext {
  readonly env: Env;
  readonly logger: Logger;
  readonly states: QueueStates;
  readonly deadLetters: DeadLetters;
  readonly background: Background;
  /** The last stop was clean: what was handed out is known exactly (`LogStore.cleanStart`). */
  readonly wasClean: boolean;
  /** One of each for all queues: `new QueueMemory()`, `new QueueTurns(env)`. */
  readonly memory: QueueMemory;
  readonly turns: QueueTurns;
}
