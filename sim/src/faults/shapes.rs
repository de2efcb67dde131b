//! Partitions by their shape: which directions between which places are cut.

use crate::dice::{ALWAYS, Dice};
use crate::network::Place;

/// Directions: from, to.
pub(crate) type Links = Vec<(Place, Place)>;

/// All directions between `one` and each of `others`.
pub(super) fn both_ways(one: Place, others: &[Place]) -> Links {
    let others = others.iter().filter(|other| **other != one);
    others.flat_map(|other| [(one, *other), (*other, one)]).collect()
}

/// All pairs of members of which `cut` says so by their indices, both ways.
fn pairs(members: &[Place], cut: impl Fn(usize, usize) -> bool) -> Links {
    let mut links = Vec::new();
    for (at, one) in members.iter().enumerate() {
        for (behind, other) in members.iter().enumerate().skip(at + 1) {
            if cut(at, behind) {
                links.extend([(*one, *other), (*other, *one)]);
            }
        }
    }
    links
}

/// Two random halves.
pub(super) fn split(places: &[Place], dice: &mut Dice) -> Links {
    let sides: Vec<bool> = places.iter().map(|_| dice.chance(ALWAYS / 2)).collect();
    pairs(places, |one, other| sides[one] != sides[other])
}

/// Nobody reaches anybody.
pub(super) fn shatter(members: &[Place]) -> Links {
    pairs(members, |_, _| true)
}

/// All are connected to the member at `hub` only.
pub(super) fn star(members: &[Place], hub: usize) -> Links {
    pairs(members, |one, other| one != hub && other != hub)
}

/// A chain in a random order.
pub(super) fn chain(members: &[Place], dice: &mut Dice) -> Links {
    let order = shuffled(members, dice);
    pairs(&order, |one, other| other - one > 1)
}

/// Each member reaches its neighbours in a ring, just so many that it sees a majority.
pub(super) fn ring(members: &[Place], dice: &mut Dice) -> Links {
    let count = members.len();
    let reach = (count / 2).div_ceil(2);
    let order = shuffled(members, dice);
    pairs(&order, |one, other| (other - one).min(count - (other - one)) > reach)
}

/// Two halves that the member at `bridge` joins.
pub(super) fn bridge(members: &[Place], bridge: usize, dice: &mut Dice) -> Links {
    let sides: Vec<bool> = members.iter().map(|_| dice.chance(ALWAYS / 2)).collect();
    pairs(members, |one, other| one != bridge && other != bridge && sides[one] != sides[other])
}

/// The same in another order.
pub(super) fn shuffled<T: Copy>(items: &[T], dice: &mut Dice) -> Vec<T> {
    let mut items = items.to_vec();
    for at in (1..items.len()).rev() {
        items.swap(at, dice.below(at as u64 + 1) as usize);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::MemberId;

    fn members(count: u16) -> Vec<Place> {
        (1..=count).map(|id| Place::Member(MemberId(id))).collect()
    }

    /// How many others each member reaches.
    fn reach(members: &[Place], cut: &Links) -> Vec<usize> {
        let reaches = |one: &Place| {
            members.iter().filter(|other| *other != one && !cut.contains(&(*one, **other))).count()
        };
        members.iter().map(reaches).collect()
    }

    #[test]
    fn each_shape_leaves_the_links_that_it_names() {
        let dice = &mut Dice::new(1, "test");
        let five = members(5);
        assert_eq!(reach(&five, &shatter(&five)), [0; 5]);
        assert_eq!(reach(&five, &star(&five, 2)), [1, 1, 4, 1, 1]);
        let mut chained = reach(&five, &chain(&five, dice));
        chained.sort_unstable();
        assert_eq!(chained, [1, 1, 2, 2, 2]);
        for count in 3..=7 {
            let all = members(count);
            let majority = all.len() / 2;
            assert!(reach(&all, &ring(&all, dice)).iter().all(|others| *others >= majority));
        }
        assert_eq!(reach(&five, &ring(&five, dice)), [2; 5]);
        assert_eq!(reach(&five, &bridge(&five, 0, dice))[0], 4);
        assert_eq!(both_ways(five[0], &five).len(), 8);
        let halves = reach(&five, &split(&five, dice));
        assert!(halves.iter().all(|others| *others < 5));
    }
}
