/**
 * Whether the appends of one log go through the journal, and how that changes while it is written to.
 *
 * Invariant: what the last checkpoint says of a log (`needsScan`) is enough to recover it. So the journal is used from the
 * moment that the policy asks for it, but nothing is confirmed before what came before has been synced where it is; and it
 * stays in use after the policy has let go of it, until a checkpoint says that the log has to be scanned.
 */
import type { FlushPolicy } from './types.ts';

export interface FlushModeOwner {
  /** No start will recover the log. */
  readonly isTransient: boolean;
  /** Makes everything that is written so far durable, in the segments. */
  syncAll(): Promise<void>;
  /** Resolves when a checkpoint that began after this call is complete. */
  nextCheckpoint(): Promise<void>;
  /** The journal's word counts again. */
  onGateOpen(): void;
}

export class FlushMode {
  /** Batches are given to the journal. */
  isJournaled: boolean;
  /** Set while nothing may be confirmed by the journal alone: resolves when what came before is durable. */
  gate: Promise<void> | undefined;
  private policy: FlushPolicy;
  private readonly owner: FlushModeOwner;

  constructor(owner: FlushModeOwner, isJournaled: boolean, policy: FlushPolicy) {
    this.owner = owner;
    this.isJournaled = isJournaled;
    this.policy = policy;
    // A checkpoint has to know soon that the log is to be scanned, whatever its policy is by the next start.
    if (policy !== 'commit' && !owner.isTransient) this.owner.nextCheckpoint().catch(() => {});
    this.change(policy);
  }

  /** What is written now may be missing from the journal: for the next checkpoint. */
  get needsScan(): boolean {
    return this.policy !== 'commit';
  }

  change(policy: FlushPolicy): void {
    this.policy = policy;
    const wantsJournal = policy === 'commit';
    if (wantsJournal === this.isJournaled) return;
    if (wantsJournal) {
      this.isJournaled = true;
      this.hold();
    } else {
      this.letGo();
    }
  }

  /** Confirms nothing before all that is written by now is durable: the journal does not have it. */
  hold(): void {
    const synced = this.owner.syncAll().then(() => {
      if (this.gate !== gate) return;
      this.gate = undefined;
      this.owner.onGateOpen();
    });
    const gate: Promise<void> = synced;
    synced.catch(() => {});
    this.gate = gate;
  }

  private letGo(): void {
    this.owner.nextCheckpoint().then(
      () => {
        if (this.policy !== 'commit') this.isJournaled = false;
      },
      () => {},
    );
  }
}
