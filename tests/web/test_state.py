"""The state of the page: entries, undo, and what a permalink needs to make them again."""

import random
from typing import Any

import pytest
from playwright.sync_api import Page

SETUP = """
    const {LayerState} = await import('./state.js');
    const {Undo} = await import('./undo.js');
    const named = (names, visible = false) =>
        [...names].map(name => Object.freeze({name, title: name, visible}));
    const told = ({entries}) => entries.map(({id, layer, style, visible, opacity}) =>
        [id, layer.name, style, visible, opacity]);
    const ids = ({entries}) => entries.map(({id}) => id).join(' ');
"""


def run(modules: Page, script: str, argument: Any = None) -> Any:
    """Run a script, with a state's module at hand, and return what it returns."""
    return modules.evaluate(f"async argument => {{ {SETUP} {script} }}", argument)


def test_a_duplicate_lies_above_and_has_a_style_and_an_id_of_its_own(modules: Page) -> None:
    script = """
        const state = new LayerState(named('ab'));
        state.setStyle('b', {min: '1'});
        const {id} = state.duplicate('b');
        state.setStyle(id, {min: '2'});
        state.duplicate('b');
        state.duplicate('nothing');
        return told(state);
    """
    assert run(modules, script) == [
        ["a", "a", {}, False, 1],
        ["b~2", "b", {"min": "2"}, False, 1],
        ["b~3", "b", {"min": "1"}, False, 1],
        ["b", "b", {"min": "1"}, False, 1],
    ]


def test_undo_and_redo_go_through_every_change_and_back(modules: Page) -> None:
    script = """
        const state = new LayerState(named('abc', true));
        const seen = [JSON.stringify(told(state))];
        const steps = [
            () => state.setStyle('a', {palette: 'viridis'}),
            () => state.setOpacity('b', 0.5),
            () => state.remove('b'),
            () => state.duplicate('c'),
            () => state.move('c', 0),
            () => state.showOnly('a'),
            () => state.hideAll(),
            () => state.setVisible('c', true),
            () => state.add(named('z')),
            () => state.restore([{name: 'b', style: {gamma: '2'}, visible: true, opacity: 0.2}]),
        ];
        for (const step of steps) { step(); seen.push(JSON.stringify(told(state))); }
        const back = [], forth = [];
        while (state.canUndo) { state.undo(); back.unshift(JSON.stringify(told(state))); }
        state.undo();
        while (state.canRedo) { state.redo(); forth.push(JSON.stringify(told(state))); }
        state.redo();
        return {
            back: back.join() === seen.slice(0, -1).join(),
            forth: forth.join() === seen.slice(1).join(),
            different: new Set(seen).size === seen.length,
        };
    """
    assert run(modules, script) == {"back": True, "forth": True, "different": True}


def test_the_moves_of_a_slider_are_one_step_of_undo_unless_one_pauses(modules: Page) -> None:
    script = """
        const state = new LayerState(named('ab', true));
        let nowMs = 0;
        state.history = new Undo(() => nowMs);
        const merged = [];
        state.addEventListener('change', ({detail}) => merged.push(detail.merged));
        for (const opacity of [0.9, 0.8, 0.7]) { nowMs += 50; state.setOpacity('a', opacity); }
        nowMs += 5000;
        state.setOpacity('a', 0.6);
        state.setOpacity('b', 0.5);
        const opacities = [];
        while (state.canUndo) { state.undo(); opacities.push(state.find('a').opacity); }
        return {opacities, merged: merged.slice(0, 5)};
    """
    assert run(modules, script) == {
        "opacities": [0.6, 0.7, 1],
        "merged": [False, True, True, False, False],
    }


def test_undo_takes_the_newest_layers_of_the_server_and_none_that_is_gone(modules: Page) -> None:
    script = """
        const state = new LayerState(named('abc', true));
        state.hideAll();
        const newer = {name: 'a', title: 'newer', visible: true};
        state.refresh([newer, ...named('c', true)], true);
        state.undo();
        return state.entries.map(({layer, visible}) => [layer.title, visible]);
    """
    assert run(modules, script) == [["newer", True], ["c", True]]


def test_a_removed_layer_does_not_come_back_with_the_servers_next_list(modules: Page) -> None:
    script = """
        const state = new LayerState(named('abc'));
        state.remove('b');
        state.add(named('z'));
        state.refresh(named('abcd'), true);
        const first = ids(state);
        state.refresh(named('d'), true);
        return [first, ids(state), [...state.removed]];
    """
    assert run(modules, script) == ["z a c d", "z d", []]


def test_a_search_adds_nothing_to_a_link_and_no_step_of_undo(modules: Page) -> None:
    script = """
        const state = new LayerState(named('ab'));
        state.extend(named('bxy'));
        return [ids(state), state.snapshot(), state.canUndo];
    """
    assert run(modules, script) == ["a b x y", [], False]


@pytest.mark.parametrize("seed", range(20))
def test_a_snapshot_makes_every_state_again(modules: Page, seed: int) -> None:
    chance = random.Random(seed)
    kinds = ("move", "move", "remove", "duplicate", "style", "opacity", "visible", "add", "undo")
    steps = [
        [chance.choice(kinds), chance.random(), chance.random()]
        for _ in range(chance.randint(1, 40))
    ]
    script = """
        const state = new LayerState(named('abcdef'));
        let number = 0;
        for (const [kind, where, amount] of argument) {
            const {id} = state.entries[Math.floor(where * state.entries.length)] ?? {id: ''};
            if (kind === 'move') state.move(id, Math.floor(amount * state.entries.length));
            if (kind === 'remove') state.remove(id);
            if (kind === 'duplicate') state.duplicate(id);
            if (kind === 'style') state.setStyle(id, amount < 0.3 ? {} : {min: String(amount)});
            if (kind === 'opacity') state.setOpacity(id, Math.round(amount * 10) / 10);
            if (kind === 'visible') state.setVisible(id, amount < 0.5);
            if (kind === 'add') state.add(named([`asset/${number += 1}`]), {onTop: amount < 0.5});
            if (kind === 'undo') state.undo();
        }
        const other = new LayerState(named('abcdef'));
        other.learn([...state.known.values()]);
        const unknown = other.restore(state.snapshot(), [...state.removed]);
        const again = JSON.stringify(other.snapshot()) === JSON.stringify(state.snapshot());
        return {made: told(other), expected: told(state), unknown, again};
    """
    found = run(modules, script, steps)
    assert found["made"] == found["expected"]
    assert found["unknown"] == []
    assert found["again"]
