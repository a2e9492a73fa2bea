import type {
  LeaveGroupRequest,
  LeaveGroupResponseInput,
} from '../../wire/kafka/messages/13-leave-group.ts';
import { type Api } from './api.ts';
export declare const leaveGroupApi: Api<LeaveGroupRequest, LeaveGroupResponseInput>;
