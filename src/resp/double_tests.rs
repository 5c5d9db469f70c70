use super::*;

fn text(value: f64, shortest: bool) -> String {
    let mut out = Vec::new();
    write(&mut out, value, shortest);
    String::from_utf8_lossy(&out).into_owned()
}

/// A double's bits and its text, as a real server's `ZSCORE` returned it.
type Told = (u64, &'static str);

const REDIS_8: &[Told] = &[
    (0x0000_0000_0000_0001, "5e-324"),
    (0x3ff0_0000_0000_0000, "1"),
    (0x43d0_0000_0000_0000, "4611686018427387904"),
    (0x43e0_0000_0000_0000, "9223372036854776000"),
    (0x7ff0_0000_0000_0000, "inf"),
    (0xfff0_0000_0000_0000, "-inf"),
    (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
    (0x43d0_0000_0000_0001, "4611686018427389000"),
    (0xc3d0_0000_0000_0000, "-4611686018427387904"),
    (0x431e_7e42_ca90_a6f0, "2145768658184636"),
    (0xc315_7977_d749_2c44, "-1511132532722449"),
    (0xc315_81e7_5704_42b4, "-1513451277062317"),
    (0x431b_fed1_78d4_8000, "1970000000000000"),
    (0xf7fa_a729_ce6c_09f0, "-8.800390282239823e+269"),
    (0xc0c2_4f59_9999_999a, "-9374.7"),
    (0x4126_0098_2ad8_4d86, "7.209720836815096e+5"),
    (0x7e8d_2132_a9d0_6891, "3.9015877633107235e+301"),
    (0x4104_cbe0_0cf3_f868, "1.703640063247115e+5"),
    (0xc0b9_4a00_0000_0000, "-6474"),
    (0x4110_23ff_5b05_5d48, "2.64447838887651e+5"),
    (0xc0ba_3dd1_eb85_1eb8, "-6717.82"),
    (0x40b0_6a00_0000_0000, "4202"),
    (0x9660_060a_ff02_00ae, "-6.541737890626034e-201"),
    (0xc0b9_a046_24dd_2f1b, "-6560.274"),
    (0x9638_92a7_6646_5d28, "-1.2540034766888965e-201"),
    (0x5d40_0000_0000_0000, "1.5242912843339806e+141"),
    (0x4127_8abf_4d47_255e, "7.714236509334256e+5"),
    (0xf2a7_4de4_52e6_b438, "-1.989032661366619e+244"),
    (0xd23f_0824_128b_2f33, "-1.5432835417340557e+88"),
    (0x64db_c8d3_0aaa_af81, "7.0368708395477454e+177"),
    (0x0b26_1c1a_1332_e641, "5.8900361802785335e-255"),
    (0xdba7_ca9c_8708_fcdf, "-3.3774507491599087e+133"),
    (0x27f0_61da_147b_f251, "2.5985722981514943e-116"),
];

const REDIS_7_0: &[Told] = &[
    (0x0000_0000_0000_0001, "4.9406564584124654e-324"),
    (0x3ff0_0000_0000_0000, "1"),
    (0x43d0_0000_0000_0000, "4.6116860184273879e+18"),
    (0x43e0_0000_0000_0000, "9.2233720368547758e+18"),
    (0x7ff0_0000_0000_0000, "inf"),
    (0xfff0_0000_0000_0000, "-inf"),
    (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
    (0x43d0_0000_0000_0001, "4.6116860184273889e+18"),
    (0xc3d0_0000_0000_0000, "-4.6116860184273879e+18"),
    (0x431e_7e42_ca90_a6f0, "2145768658184636"),
    (0xc315_7977_d749_2c44, "-1511132532722449"),
    (0xc315_81e7_5704_42b4, "-1513451277062317"),
    (0x431b_fed1_78d4_8000, "1970000000000000"),
    (0xcc68_e52d_d6a3_a644, "-1.2501591660864105e+60"),
    (0x40c0_a0c0_0000_0000, "8513.5"),
    (0x8a07_152a_b6f8_cb56, "-2.3457409374387277e-260"),
    (0x355c_4df7_4c74_afd2, "1.1820533595613167e-51"),
    (0x3d6b_d4b1_d1fe_657f, "7.9100000000000006e-13"),
    (0x40f6_83b6_af18_8fd0, "92219.417748033302"),
    (0x4129_a923_6ed8_de08, "840849.71649831627"),
    (0x5b30_0000_0000_0000, "1.7745086042373215e+131"),
    (0xc0a8_4e42_8f5c_28f6, "-3111.1300000000001"),
    (0x4129_e986_9334_94ae, "849091.28751053452"),
    (0xc109_2574_b1df_3fc8, "-205998.5868515952"),
    (0x40b8_bf0c_98b2_e9cd, "6335.0492050000003"),
    (0x14f0_1c03_163e_4f4b, "7.8401245430624047e-208"),
    (0x7c1e_ad1e_ec9d_1b03, "7.4737429829459172e+289"),
    (0xf2a7_4de4_52e6_b438, "-1.989032661366619e+244"),
    (0xd23f_0824_128b_2f33, "-1.5432835417340557e+88"),
];

#[test]
fn writes_what_servers_write() {
    for (told, shortest) in [(REDIS_7_0, false), (REDIS_8, true)] {
        for (bits, expected) in told {
            assert_eq!(text(f64::from_bits(*bits), shortest), *expected);
        }
    }
}

#[test]
fn zero_keeps_its_sign_and_what_is_no_number_has_one_name() {
    for shortest in [false, true] {
        assert_eq!(text(0.0, shortest), "0");
        assert_eq!(text(-0.0, shortest), "-0");
        assert_eq!(text(-f64::NAN, shortest), "nan");
        assert_eq!(text(f64::NEG_INFINITY, shortest), "-inf");
    }
}

#[test]
fn both_forms_read_back_the_same() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let value = f64::from_bits(random.u64(..));
        for shortest in [false, true] {
            if value.is_finite() {
                assert_eq!(text(value, shortest).parse(), Ok(value));
            }
        }
    }
}

#[test]
fn the_powers_are_the_nearest() {
    for (power, decimal) in powers::POWERS
        .iter()
        .zip((powers::FIRST_EXPONENT..).step_by(8))
    {
        let ratio = (power.0 as f64).log10() + f64::from(power.1) * std::f64::consts::LOG10_2;
        assert!((ratio - f64::from(decimal)).abs() < 1e-9, "10^{decimal}");
    }
}
