/**
 * What clients of queues see, in the order in which they see it: of real ones over sockets, as of those on the simulated machine. Judged
 * by `queue-checker.ts`.
 */

export type QueueEvent =
  /** A message is sent; `id` is in its body, and unlike all others. `sequence` rises within a producer and queue. */
  | {
      readonly kind: 'publish';
      readonly id: string;
      readonly queue: string;
      readonly producer: string;
      readonly sequence: number;
    }
  /** The broker has taken it. */
  | { readonly kind: 'confirm'; readonly id: string }
  /** The broker has refused it. */
  | { readonly kind: 'refuse'; readonly id: string }
  | {
      readonly kind: 'deliver';
      readonly id: string;
      readonly queue: string;
      /** Unlike for every time that somebody begins to consume. */
      readonly consumer: string;
      readonly redelivered: boolean;
      /** Whether the body was the one that was sent. */
      readonly intact: boolean;
    }
  /** What the last holder of the message has said. A release puts it back; a rejection makes it a dead letter, where there is a place. */
  | {
      readonly kind: 'accept' | 'release' | 'reject';
      readonly id: string;
      readonly queue: string;
      readonly consumer: string;
    }
  /** The broker is gone. `power`: what it had not made durable, too. */
  | { readonly kind: 'crash'; readonly power: boolean }
  /** Found in the queue at the end, and taken. */
  | {
      readonly kind: 'left';
      readonly id: string;
      readonly queue: string;
      readonly redelivered: boolean;
      readonly intact: boolean;
    };

/** An event, and when: milliseconds of any clock that does not go back. */
export type TimedQueueEvent = QueueEvent & { readonly atMs: number };

export interface QueueAnomaly {
  readonly name:
    | 'lost'
    | 'unexpected'
    | 'damaged'
    | 'duplicate-not-flagged'
    | 'delivered-after-accept'
    | 'out-of-order'
    | 'held-twice';
  readonly id: string;
  readonly detail: string;
}

export interface QueueCountsSeen {
  readonly published: number;
  readonly confirmed: number;
  readonly refused: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly accepted: number;
  readonly released: number;
  readonly rejected: number;
  readonly left: number;
  readonly crashes: number;
  /** Accepted, and delivered again after a crash: what was settled last may be forgotten. */
  readonly forgottenAccepts: number;
  /** Never confirmed, and there all the same. */
  readonly unconfirmedFound: number;
  /** Twice in a queue of dead letters, after a crash. */
  readonly deadTwice: number;
}
