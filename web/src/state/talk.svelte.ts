// What the page says and asks: short notices, and questions before what can't be undone.

import { asProblem } from "../api/problem";

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
}

export interface Question {
  title: string;
  text: string;
  yes: string;
  danger?: boolean;
  /** A line of text to ask for, beginning as this. */
  input?: { label: string; value: string };
  answer: (text: string | null) => void;
}

class Talk {
  notices = $state<Notice[]>([]);
  question = $state.raw<Question | null>(null);
  #next = 0;

  say(text: string, bad = false): void {
    const id = this.#next++;
    this.notices.push({ id, text, bad });
    setTimeout(() => this.drop(id), bad ? 12_000 : 4_000);
  }

  drop(id: number): void {
    this.notices = this.notices.filter((n) => n.id !== id);
  }

  /** The answer to a question: the text, or "" of one without a text; null when it was taken back. */
  ask(question: Omit<Question, "answer">): Promise<string | null> {
    return new Promise((resolve) => {
      this.question = {
        ...question,
        answer: (text) => {
          this.question = null;
          resolve(text);
        },
      };
    });
  }

  /** Does it, and says what came of it. */
  async act(said: string, doing: () => Promise<unknown>): Promise<boolean> {
    try {
      await doing();
      this.say(said);
      return true;
    } catch (thrown) {
      const problem = asProblem(thrown);
      this.say(problem.detail || problem.title, true);
      return false;
    }
  }
}

export const talk = new Talk();
