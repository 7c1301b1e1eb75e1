"""The sandbox, from inside every running role: what the table of roles forbids does fail."""
import pathlib

from harness import ROLES, Case


class Sandbox(Case):
    def probes(self):
        return self.server.rows("check-sandbox")

    def test_every_role_answers_and_every_probe_is_as_it_should_be(self):
        rows = self.probes()
        self.assertEqual({r["role"] for r in rows}, set(ROLES))
        wrong = [r for r in rows if not r["as_planned"]]
        self.assertEqual(wrong, [])

    def test_the_probes_cover_what_matters(self):
        actions = " ".join({r["action"] for r in self.probes()})
        for word in ("key", "connect", "exec", "listen", "trace", "attach", "memory", "signal", "code", "raw", "descriptors", "database"):
            self.assertIn(word, actions)

    def test_only_some_connect_and_none_executes(self):
        rows = self.probes()
        self.assertEqual([r for r in rows if "exec" in r["action"] and r["result"] != "refused"], [])
        self.assertEqual([r for r in rows if "key" in r["action"] and r["result"] != "refused"], [])
        connecting = {r["role"] for r in rows if "connect" in r["action"] and r["result"] != "refused"}
        self.assertLessEqual(connecting, {"resolver", "relay", "events"})

    def test_the_kernel_says_so_too(self):
        for role, pids in self.server.roles().items():
            for pid in pids:
                fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
                with self.subTest(role):
                    self.assertEqual(fields["Seccomp"].strip(), "2")
                    self.assertEqual(fields["NoNewPrivs"].strip(), "1")

    def test_one_thread_each(self):
        for role, pids in self.server.roles().items():
            for pid in pids:
                self.assertEqual(len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())), 1, role)


class SandboxAsRoot(Sandbox):
    as_root = True
