/** What can be asked of a Millrace about its queues, as programs and commands see it. */
import type {
  ManagementOp,
  ManagementRequest,
  ManagementResults,
} from '../../wire/amqp/management.ts';

export type {
  BindingInfo,
  ConnectionInfo,
  ExchangeInfo,
  ManagementOp,
  ManagementRequest,
  ManagementResults,
  MoveResult,
  PeekedMessage,
  PermissionInfo,
  QueueInfo,
} from '../../wire/amqp/management.ts';

export type RequestOf<Op extends ManagementOp> = Extract<ManagementRequest, { readonly op: Op }>;

/** @throws {MillraceError} ML_QUEUE_MISSING, ML_AMQP_REFUSED, ML_CONNECTION_LOST */
export type Ask = <Op extends ManagementOp>(
  request: RequestOf<Op>,
) => Promise<ManagementResults[Op]>;
