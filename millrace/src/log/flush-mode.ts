/**
 * Whether the appends of one log go through the journal, and how that changes while it is written to.
 *
 * Invariant: what the last checkpoint says of a log (`needsScan`) is enough to recover it. So the journal is used from the
 * moment that the policy asks for it, but nothing is confirmed before a checkpoint has covered what came before; and it
 * stays in use after the policy has let go of it, until a checkpoint says that the log has to be scanned.
 */
import type { LogContext } from './log-context.ts';
import type { FlushPolicy } from './types.ts';

export class FlushMode {
  /** Batches are given to the journal. */
  isJournaled: boolean;
  /** Set while nothing may be confirmed by the journal alone: resolves when what came before is durable. */
  gate: Promise<void> | undefined;
  private policy: FlushPolicy;
  private readonly context: LogContext;
  private readonly onGateOpen: () => void;

  constructor(
    context: LogContext,
    state: { readonly isJournaled: boolean; readonly isEmpty: boolean },
    policy: FlushPolicy,
    onGateOpen: () => void,
  ) {
    this.context = context;
    this.isJournaled = state.isJournaled;
    this.policy = policy;
    this.onGateOpen = onGateOpen;
    this.change(policy, state.isEmpty);
    // A checkpoint has to know soon that the log is to be scanned, whatever its policy is by the next start.
    if (!this.isJournaled) context.nextCheckpoint().catch(() => {});
  }

  /** What is written now may be missing from the journal: for the next checkpoint. */
  get needsScan(): boolean {
    return this.policy !== 'commit';
  }

  change(policy: FlushPolicy, isEmpty: boolean): void {
    this.policy = policy;
    const wantsJournal = policy === 'commit';
    if (wantsJournal === this.isJournaled) return;
    if (wantsJournal) this.begin(isEmpty);
    else this.end();
  }

  private begin(isEmpty: boolean): void {
    this.isJournaled = true;
    if (this.gate !== undefined || isEmpty) return;
    const gate = this.context.nextCheckpoint().then(() => {
      this.gate = undefined;
      this.onGateOpen();
    });
    gate.catch(() => {});
    this.gate = gate;
  }

  private end(): void {
    this.context.nextCheckpoint().then(
      () => {
        if (this.policy !== 'commit' && this.gate === undefined) this.isJournaled = false;
      },
      () => {},
    );
  }
}
