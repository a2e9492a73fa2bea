/** What a broker says of a queue, in the words of queues. */
import { MillraceError } from '../../core/errors.ts';

/** ML_QUEUE_MISSING where it says so; everything else as it is. @param queue undefined: it was asked for something else */
export function ofQueue(error: unknown, queue: string | undefined): unknown {
  if (queue === undefined || replyOf(error) !== 'NOT_FOUND') return error;
  return new MillraceError('ML_QUEUE_MISSING', `there is no queue ${queue}, or no more`, {
    cause: error,
    fields: { queue },
  });
}

/** The same for a declaration: ML_QUEUE_DIFFERS where a queue is not what it is said to be. */
export function ofDeclaration(error: unknown, queue: string): unknown {
  if (!(error instanceof MillraceError) || replyOf(error) !== 'PRECONDITION_FAILED')
    return ofQueue(error, queue);
  return new MillraceError(
    'ML_QUEUE_DIFFERS',
    `queue ${queue} cannot be what it is said to be: ${String(error.fields['replyText'])}`,
    { cause: error, fields: { queue } },
  );
}

/** AMQP's name of why it was refused, by a method or by the answer to a question. */
function replyOf(error: unknown): unknown {
  return error instanceof MillraceError && error.code === 'ML_AMQP_REFUSED'
    ? error.fields['reply']
    : undefined;
}
