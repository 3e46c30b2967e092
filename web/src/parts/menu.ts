/** An action of a menu; `off` says why it can't be chosen now. */
export interface Item {
  label: string;
  act: () => void;
  danger?: boolean;
  off?: string | false;
}
