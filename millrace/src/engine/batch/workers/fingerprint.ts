/** Driver and workers must have built the same plan. */
import { MillraceError } from '../../../core/errors.ts';

/** A worker has built another plan than the driver. */
export function programChanged(path: string): MillraceError {
  return new MillraceError(
    'ML_PROGRAM_INVALID',
    `${path} describes another flow in a worker than in the driver`,
    {
      hint: 'The file was changed while the job started: run it again. Otherwise the flow depends on the time, on chance or on the environment: use f.param and --set instead',
      fields: { path },
    },
  );
}
