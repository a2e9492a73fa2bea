/** What goes wrong with a broker of AMQP, in words and with what to do about it. */
import { MillraceError } from '../../core/errors.ts';
import { replyName, type ReplyName } from '../../wire/amqp/reply-codes.ts';

/** A refusal, as `channel.close`, `connection.close` and `basic.return` have it. */
export interface Reply {
  readonly replyCode: number;
  readonly replyText: string;
}

/** @param what was refused: 'the connection to localhost:5672', 'channel 1 of …' */
export function refused({ replyCode, replyText }: Reply, what: string): MillraceError {
  const name = replyName(replyCode);
  const shown =
    name === undefined || replyText.startsWith(name) ? replyText : `${name} - ${replyText}`;
  return new MillraceError('ML_AMQP_REFUSED', `${what} was refused with ${replyCode}: ${shown}`, {
    fields: { replyCode, reply: name ?? '', replyText },
    ...(name === 'CONNECTION_FORCED' || name === 'INTERNAL_ERROR' ? { retriable: true } : {}),
  });
}

/** AMQP's name of what a broker refused with, as NOT_FOUND; undefined for other errors. */
export function amqpReply(error: unknown): ReplyName | undefined {
  if (!(error instanceof MillraceError) || error.code !== 'ML_AMQP_REFUSED') return undefined;
  const { reply } = error.fields;
  return reply === '' ? undefined : (reply as ReplyName | undefined);
}

export function connectionLost(name: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError('ML_CONNECTION_LOST', `the connection to ${name} ${what}`, {
    cause,
    hint: 'Connect again; if it repeats, look at the log of the broker',
  });
}
