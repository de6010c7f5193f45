"""What the fault search found; each as the smallest story that showed it."""

from __future__ import annotations

from tests.integration.test_operator import backups


def test_id_that_is_neither_text_nor_a_number_is_no_id(service, operator):
    service.add_fault("wrong_shape", action="CreateBackup")
    assert operator().once() == backups(service)[0].job_id
    assert service.calls("CreateBackup") == 1
