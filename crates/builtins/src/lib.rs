//! Native plugins that come with Mortise.
