/**
 * How far a partition may hand out messages: not far ahead of what is written of that, since after a crash those that were handed out have
 * to be called redelivered, and what was not written is not known.
 */
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import { QUEUE_AHEAD_OFFSETS_MAX, QUEUE_RETRY_MS } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { QueueState, QueueStates } from './state/queue-state.ts';

interface HandOutContext {
  readonly env: Env;
  readonly logger: Logger;
  readonly states: QueueStates;
  readonly background: Background;
}

interface HandOutPlace {
  readonly log: PartitionLog;
  readonly state: QueueState;
  readonly isDurable: boolean;
}

export class HandOut {
  private readonly context: HandOutContext;
  private readonly place: HandOutPlace;
  private readonly onWritten: () => void;
  /** `next` of the state as it is known to be written. */
  private writtenNext: number;
  private isWriting = false;

  /** @param onWritten what was held back may go on */
  constructor(context: HandOutContext, place: HandOutPlace, onWritten: () => void) {
    this.context = context;
    this.place = place;
    this.onWritten = onWritten;
    this.writtenNext = place.state.next;
  }

  /** Whether the message at `offset` may be handed out now. */
  mayReach(offset: number): boolean {
    if (!this.place.isDurable) return true;
    const ahead = offset - this.writtenNext;
    // Written in time, nobody has to wait for it.
    if (ahead * 2 > QUEUE_AHEAD_OFFSETS_MAX && !this.isWriting) this.write();
    return ahead < QUEUE_AHEAD_OFFSETS_MAX;
  }

  private write(): void {
    const { context } = this;
    const { state, log } = this.place;
    const { next } = state;
    this.isWriting = true;
    const goOn = (): void => {
      this.isWriting = false;
      this.onWritten();
    };
    const written = context.states.flush().then(
      () => {
        this.writtenNext = Math.max(this.writtenNext, next);
        goOn();
      },
      (error: unknown) => {
        context.logger.warn('A queue waits for its state', { ...log.id, error });
        context.env.timers.after(QUEUE_RETRY_MS, goOn);
      },
    );
    context.background.run('state of a queue', written);
  }
}
