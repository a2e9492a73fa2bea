import type {
  FindCoordinatorRequest,
  FindCoordinatorResponseInput,
} from '../../wire/kafka/messages/10-find-coordinator.ts';
import { type Api } from './api.ts';
export declare const findCoordinatorApi: Api<FindCoordinatorRequest, FindCoordinatorResponseInput>;
