// Which episode of a given array is a network's `episode`, where so many networks have episodes of their own: all of the
// group, or one that stands for all.
fn given_at(networks: u32, network: u32, episodes: u32, episode: u32) -> u32 {
    return min(network, networks - 1u) * episodes + episode;
}
