"""The parameters of every node beside the recorder, by the standard services and ``/parameter_events``."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import qos_profile_parameter_events
from rclpy.task import Future

_PATIENCE_LOOKS = 5
"""A node is asked again after so many looks, then after twice as many, and so on: an answer to a client that the node
has not discovered yet is lost, and one that loads its model takes its time."""


class GraphParameters:
    """Asks every node of the namespace once, without ever waiting, and follows what changes.

    A node that leaves the graph keeps its last values, and is asked again when it is back.

    Args:
        node: the recorder; its executor runs everything here.

    Attributes:
        values: full node name -> parameter -> value. Replaced as a whole, so that another thread may read it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._inside = node.get_namespace().rstrip("/") + "/"
        self._asked: dict[str, _Request] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self._events = node.create_subscription(
            ParameterEvent, "/parameter_events", self._on_event, qos_profile_parameter_events
        )

    def look(self) -> None:
        """Ask the nodes that are new; give up what is not answered in time."""
        present = set()
        for name, namespace in self._node.get_node_names_and_namespaces():
            full = f"{namespace.rstrip('/')}/{name}"
            if full.startswith(self._inside) and not name.startswith("_"):
                present.add(full)
        for full in [full for full in self._asked if full not in present]:
            self._asked.pop(full).close()
        for full in present:
            if full not in self._asked:
                self._asked[full] = _Request(self._node, full, self._take)
            self._asked[full].look()

    def destroy(self) -> None:
        """Give up what is not answered, and stop listening."""
        for request in self._asked.values():
            request.close()
        self._node.destroy_subscription(self._events)

    def _take(self, full: str, values: dict[str, Any]) -> None:
        self.values = {**self.values, full: values}

    def _on_event(self, event: ParameterEvent) -> None:
        if not event.node.startswith(self._inside):
            return
        values = dict(self.values.get(event.node, {}))
        values |= {p.name: plain(p.value) for p in (*event.new_parameters, *event.changed_parameters)}
        for parameter in event.deleted_parameters:
            values.pop(parameter.name, None)
        self._take(event.node, values)


class _Request:
    """The names, then the values, of one node's parameters.

    Its clients stay until it is answered: a node that answers late must not wait for one that is gone.
    """

    def __init__(self, node: Node, full: str, done: Callable[[str, dict[str, Any]], None]) -> None:
        self._node, self._full, self._done = node, full, done
        self._clients: list[Any] = []
        self._answered = False
        self._ask: Callable[[], None]
        self._looks_left, self._patience = 0, _PATIENCE_LOOKS
        self._names: list[str] = []
        self._prepare(ListParameters, "list_parameters", ListParameters.Request(), self._on_names)

    def look(self) -> None:
        """Called now and then: asks as soon as the service is there, and again, ever more seldom, without an answer."""
        if self._answered:
            self.close()
            return
        if not self._clients[-1].service_is_ready():
            return
        if self._looks_left == 0:
            self._looks_left, self._patience = self._patience, 2 * self._patience
            self._ask()
        self._looks_left -= 1

    def close(self) -> None:
        """Wait no longer."""
        self._answered = True
        while self._clients:
            self._node.destroy_client(self._clients.pop())

    def _prepare(self, kind: Any, service: str, request: Any, then: Callable[[Any], None]) -> None:
        client = self._node.create_client(kind, f"{self._full}/{service}")
        self._clients.append(client)
        self._looks_left, self._patience = 0, _PATIENCE_LOOKS

        def on_answer(future: Future) -> None:
            if not self._answered and self._clients[-1] is client and future.result() is not None:
                then(future.result())

        self._ask = lambda: client.call_async(request).add_done_callback(on_answer)

    def _on_names(self, answer: ListParameters.Response) -> None:
        self._names = list(answer.result.names)
        request = GetParameters.Request(names=self._names)
        self._prepare(GetParameters, "get_parameters", request, self._on_values)

    def _on_values(self, answer: GetParameters.Response) -> None:
        self._answered = True
        self._done(self._full, {name: plain(value) for name, value in zip(self._names, answer.values, strict=False)})


def plain(value: Any) -> Any:
    """A parameter value as JSON can hold it; None where it is not set."""
    found = parameter_value_to_python(value)
    if isinstance(found, list | tuple | array.array):
        return [one.hex() if isinstance(one, bytes) else one for one in found]
    return found
